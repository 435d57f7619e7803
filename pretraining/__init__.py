"""How the seedling is grown: tokenizer, corpus, tasks of our own, network, loop, package. See `README.md`."""
