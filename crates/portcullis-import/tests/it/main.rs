//! The importer through its public face: real exports, hostile files, and what a whole folder becomes.

#[cfg(test)]
mod gather;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod real;
#[cfg(test)]
mod shape;
