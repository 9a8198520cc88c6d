"""Which header fields never cross the proxy, whatever a configuration says; pure.

Law: what belongs to one connection stays with it (RFC 9110, section 7.6.1), what says who somebody
is stays with whom it was said to, and what an answer could do to our origin never gets there.
"""

from __future__ import annotations

__all__ = ["HOP_BY_HOP", "NEVER_FROM_UPSTREAM", "NEVER_TO_UPSTREAM"]

HOP_BY_HOP = frozenset(
    {
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-*",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)

NEVER_TO_UPSTREAM = HOP_BY_HOP | {
    "authorization",
    "cdn-loop",
    "cf-*",
    "client-ip",
    "content-length",  # written anew, from what is sent
    "cookie",
    "cookie2",
    "expect",
    "forwarded",
    "host",
    "origin",
    "referer",
    "sec-*",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-forwarded-*",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-*",
    "x-real-ip",
    "x-rewrite-url",
}
"""Beside the connection's own: the caller's credentials, where they are, and what servers believe
of a proxy."""

NEVER_FROM_UPSTREAM = HOP_BY_HOP | {
    "accept-ch",
    "access-control-*",
    "activate-storage-access",
    "alt-svc",
    "attribution-reporting-*",
    "clear-site-data",
    "content-disposition",  # ours
    "content-length",  # written anew
    "content-location",
    "content-security-policy",
    "content-security-policy-report-only",
    "critical-ch",
    "cross-origin-*",
    "date",  # the server that sends writes one
    "document-policy",
    "expect-ct",
    "nel",
    "origin-agent-cluster",
    "permissions-policy",
    "public-key-pins",
    "public-key-pins-report-only",
    "ratelimit",
    "ratelimit-policy",
    "referrer-policy",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "server",
    "service-worker-allowed",
    "set-cookie",
    "set-cookie2",
    "set-login",
    "sourcemap",
    "speculation-rules",
    "strict-transport-security",
    "supports-loading-mode",
    "timing-allow-origin",
    "use-as-dictionary",
    "via",
    "www-authenticate",  # a browser would ask for a password in our name
    "x-accel-*",  # nginx in front of us would act on them
    "x-content-type-options",
    "x-dns-prefetch-control",
    "x-frame-options",
    "x-lighttpd-send-file",
    "x-permitted-cross-domain-policies",
    "x-request-id",
    "x-sendfile",
    "x-sourcemap",
    "x-xss-protection",
}
