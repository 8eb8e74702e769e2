def application(environ, start_response):
    if environ["PATH_INFO"] == "/flood":
        for number in range(100000):
            print("flood", number, "x" * 100)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]
