"""Reading with a language model: one engine over exchangeable chat servers."""
