def application(environ, start_response):
    length = "10" if "short" in environ["PATH_INFO"] else "4"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", length)])
    if "stream" in environ["PATH_INFO"]:
        return (part for part in (b"f", b"ine"))
    return [b"fine"]
