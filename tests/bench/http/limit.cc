// The limit: libuv and llhttp alone, a static answer, no checks, no timeouts.
//
//   bench-http-limit PORT     runs until SIGTERM

#include <llhttp.h>
#include <uv.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>

#include "tests/bench/http/listen.h"

namespace cloister {
namespace {

constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nHello, world";

struct Client {
  uv_tcp_t handle = {};
  llhttp_t parser = {};
  std::string url;
  std::string out;
};

Client& ClientOf(const llhttp_t* parser) {
  return *static_cast<Client*>(parser->data);
}

const llhttp_settings_t* Callbacks() {
  static const llhttp_settings_t kSettings = [] {
    llhttp_settings_t made;
    llhttp_settings_init(&made);
    made.on_message_begin = [](llhttp_t* parser) noexcept {
      ClientOf(parser).url.clear();
      return 0;
    };
    made.on_url = [](llhttp_t* parser, const char* at, std::size_t size) noexcept {
      ClientOf(parser).url.append(at, size);
      return 0;
    };
    made.on_message_complete = [](llhttp_t* parser) noexcept {
      ClientOf(parser).out += kAnswer;
      return 0;
    };
    return made;
  }();
  return &kSettings;
}

void CloseClient(uv_stream_t* stream) {
  if (uv_is_closing(reinterpret_cast<uv_handle_t*>(stream)) == 0)
    uv_close(reinterpret_cast<uv_handle_t*>(stream),
             [](uv_handle_t* handle) { delete static_cast<Client*>(handle->data); });
}

void OnRead(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) noexcept {
  auto* const client = static_cast<Client*>(stream->data);
  if (size == 0)
    return;
  if (size < 0 ||
      llhttp_execute(&client->parser, buffer->base, static_cast<std::size_t>(size)) != HPE_OK) {
    CloseClient(stream);
    return;
  }
  uv_buf_t out = uv_buf_init(client->out.data(), static_cast<unsigned>(client->out.size()));
  const int written = uv_try_write(stream, &out, 1);
  if (written != static_cast<int>(client->out.size()))
    CloseClient(stream);
  client->out.clear();
}

void OnConnection(uv_stream_t* server, int status) noexcept {
  static char read_buffer[65536];
  if (status < 0)
    return;
  auto* const client = std::make_unique<Client>().release();  // OnClosed deletes it
  uv_tcp_init(server->loop, &client->handle);
  client->handle.data = client;
  auto* const stream = reinterpret_cast<uv_stream_t*>(&client->handle);
  if (uv_accept(server, stream) != 0) {
    CloseClient(stream);
    return;
  }
  uv_tcp_nodelay(&client->handle, 1);
  llhttp_init(&client->parser, HTTP_REQUEST, Callbacks());
  client->parser.data = client;
  uv_read_start(
      stream,
      [](uv_handle_t*, std::size_t, uv_buf_t* buffer) {
        *buffer = uv_buf_init(read_buffer, sizeof read_buffer);
      },
      &OnRead);
}

int RunLimit(int port) {
  uv_loop_t* const loop = uv_default_loop();
  uv_tcp_t server;
  uv_tcp_init(loop, &server);
  uv_tcp_open(&server, ListenOnLoopback(port).Release());
  if (uv_listen(reinterpret_cast<uv_stream_t*>(&server), 4096, &OnConnection) != 0)
    return 2;
  return uv_run(loop, UV_RUN_DEFAULT);
}

}  // namespace
}  // namespace cloister

int main(int argc, char** argv) {
  if (argc < 2)
    return 2;
  (void)signal(SIGPIPE, SIG_IGN);
  return cloister::RunLimit(static_cast<int>(std::strtol(argv[1], nullptr, 10)));
}
