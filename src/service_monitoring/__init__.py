"""Service monitoring whose time is a value: what pages you tonight can be rehearsed this afternoon."""
