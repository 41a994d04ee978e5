"""Growth: samples of sizes, the history and the forecast made of them, and the words for both."""
