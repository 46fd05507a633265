mod desk;
mod owning;
mod showing;
mod writing;
