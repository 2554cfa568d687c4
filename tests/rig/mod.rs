//! What every test of the real binary stands on: a lab with its pool, a study's server that breaks where it is told to, a
//! mail server, and faults planted in answers.

pub mod lab;
pub mod office;
pub mod planting;
pub mod site;
pub mod smtp;
