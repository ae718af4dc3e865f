//! The detectors on whole texts, and the promise that it makes no difference where a text is cut.

#[cfg(test)]
mod arguments;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod echo;
#[cfg(test)]
mod prose;
#[cfg(test)]
mod splits;
#[cfg(test)]
mod support;
