"""openbolt inside a Cloudflare Worker, and Cloudflare's stores reached from outside of one.

Law: importing this package imports nothing of the Workers runtime, so that the parts that work
from outside (`kv_rest`, `r2_s3`) load anywhere; each module that needs the runtime says so.
"""
