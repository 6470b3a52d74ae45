"""What travels to the Hub: networks, processor, face handling and pipelines. Flat modules that import only each
other."""
