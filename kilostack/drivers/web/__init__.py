"""Documents of other parties on the web, such as the keys that an identity provider publishes."""
