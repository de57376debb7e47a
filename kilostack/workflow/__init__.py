"""Long work: sagas, leases, fences for callees, and the loop of reconcilers."""
