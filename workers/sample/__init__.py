"""The sample registry: the official registry's API over entries of our own, for `make run`, tests and benchmarks.

It needs nothing but the standard library and orjson, and listens on the loopback interface only.
"""
