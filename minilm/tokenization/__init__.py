"""Text to token ids and back: the pieces of a tokenizer, and the tokenizer that users hold."""
