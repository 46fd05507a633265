mod asking;
mod desk;
mod owning;
mod showing;
mod writing;
