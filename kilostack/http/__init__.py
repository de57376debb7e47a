"""HTTP in and out for every service: app, routes, microversions, errors, schemas, paging."""
