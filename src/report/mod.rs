//! What a server's tables say about their own completeness: numbers, pictures, one page.
//!
//! The way of a number: [`reading`] goes once through each combined table, where [`tally`] counts, [`participation`] gathers who
//! did what and [`checked`] takes what the rules find; [`journey`] follows each participant along the schedule;
//! [`attrition`] and [`trajectory`] sum up; [`model`] holds it all; [`files`], [`chart_tables`] and [`page`] write it down. Beside it,
//! [`codebook`] and [`package`] say what the tables' columns mean.

pub mod accounts;
pub mod attrition;
pub mod chart_tables;
pub mod charts;
pub mod checked;
pub mod codebook;
pub mod column;
pub mod files;
pub mod findings;
pub mod histogram;
pub mod journey;
pub mod model;
pub mod package;
pub mod page;
pub mod participation;
pub mod reading;
pub mod reconciliation;
pub mod sheet;
pub mod sink;
pub mod sources;
pub mod tally;
pub mod trajectory;
