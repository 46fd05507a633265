mod asking;
mod desk;
mod handing;
mod owning;
mod showing;
mod standing;
mod writing;
