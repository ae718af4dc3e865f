//! Proof that the checks work: a foreign chatbot with single faults, hostile servers, and the catalogue's own order.

#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod doubts;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod target_file;
#[cfg(test)]
mod wires;
