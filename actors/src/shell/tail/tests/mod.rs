mod bells;
mod random;
mod ring;
