//! Mail against servers: a real one, and ones that misbehave on purpose.

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod postman;
#[cfg(test)]
mod smtp;
#[cfg(test)]
mod world;
