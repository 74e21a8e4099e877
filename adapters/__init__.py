"""Translation between vendors' formats and the core: one module or package per platform."""
