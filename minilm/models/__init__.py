"""Whole models: GPT-2, GPT-NeoX, and the Llama family."""
