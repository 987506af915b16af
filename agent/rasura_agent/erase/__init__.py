"""How a drive is erased: policy, plan, engine."""
