//! The rules in force: the shipped set and the user's files.
