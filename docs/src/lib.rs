//! Samples of the book.
