"""Language models behind the `ModelProvider` protocol: pick a module, import from it."""
