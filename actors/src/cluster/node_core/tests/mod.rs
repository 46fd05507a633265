mod asking;
mod desk;
mod owning;
mod showing;
mod standing;
mod writing;
