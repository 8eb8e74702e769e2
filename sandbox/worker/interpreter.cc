#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>

#include "apis/base/unique_fd.h"
#include "sandbox/image/platform.h"
#include "sandbox/worker/environ.h"
#include "sandbox/worker/module.h"
#include "sandbox/worker/python.h"
#include "sandbox/worker/runtime.h"
#include "sandbox/worker/worker.h"
#include "sandbox/worker/wsgi.h"

namespace cloister {
namespace {

constexpr const char* kLoaderPath = "usr/lib/cloister/python/_cloister_runtime/loader.py";
constexpr const char* kLoaderName = "_cloister_runtime.loader";
constexpr const char* kRehearsedPath = "usr/lib/cloister/python/_cloister_runtime/rehearsed.py";
constexpr const char* kRehearsedName = "cloister_rehearsal.py";
// Python adapts code to its use within the first calls: done here, the result is shared.
constexpr int kRehearsals = 16;
constexpr const wchar_t* kStandardLibrary = L"/usr/lib/python3.11";
constexpr std::size_t kCopySize = std::size_t{1} << 20;

// Copies the file into a sealed memory file: an upgrade of the package cannot change or cut off
// what a running interpreter maps.
Result<Image> CopyPlatformImage(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid())
    return SystemError("opening the platform image " + path);
  const UniqueFd memory(::memfd_create("cloister-platform", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.valid())
    return SystemError("creating a memory file");
  while (true) {
    const ssize_t count = ::sendfile(memory.get(), file.get(), nullptr, kCopySize);
    if (count == 0)
      break;
    if (count < 0)
      return SystemError("copying the platform image");
  }
  if (::fcntl(memory.get(), F_ADD_SEALS,
              F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
    return SystemError("sealing the platform image");
  return Image::Open(memory.get(), Image::NeedSeals::kYes);
}

// The bytecode in the image fits one version only.
Result<void> CheckVersion(const Image& platform) {
  const std::optional<ImageEntry> entry = platform.Find(kPlatformVersionPath);
  const std::string running = InterpreterVersion();
  const std::string_view made_for = entry ? entry->contents : std::string_view("an unknown one");
  if (made_for == running)
    return {};
  return Error{ErrorCode::kInvalidArgument, "the platform image was made for Python " +
                                                std::string(made_for) + ", this is Python " +
                                                running + ": build it again"};
}

// What the processes of workers inherit beside Python.
void PrepareProcess() {
  ::mallopt(M_ARENA_MAX, 1);                // one heap: threads' arenas would cost each worker
  ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);  // a huge page is two megabytes of private memory
  (void)::signal(SIGPIPE, SIG_IGN);         // a closed channel is an error of write()
  SetDefaultEnvironment();
  // Loaded now: behind the walls there are no locale files.
  if (std::setlocale(LC_ALL, "C.UTF-8") != nullptr)
    (void)std::setlocale(LC_ALL, "C");
}

Error StartError(const PyStatus& status) {
  return Error{ErrorCode::kUnavailable,
               std::string("starting Python: ") +
                   (status.err_msg == nullptr ? "unknown error" : status.err_msg)};
}

Result<void> StartInterpreter() {
  PyPreConfig preconfig;
  PyPreConfig_InitIsolatedConfig(&preconfig);
  preconfig.utf8_mode = 1;
  PyStatus status = Py_PreInitialize(&preconfig);
  if (PyStatus_Exception(status) != 0)
    return StartError(status);
  RegisterCloisterModule();
  PyConfig config;
  PyConfig_InitIsolatedConfig(&config);
  config.site_import = 0;
  config.install_signal_handlers = 0;
  config.write_bytecode = 0;
  config.module_search_paths_set = 1;
  PyWideStringList_Append(&config.module_search_paths, kStandardLibrary);
  PyConfig_SetString(&config, &config.program_name, L"/usr/bin/python3.11");
  PyConfig_SetString(&config, &config.stdlib_dir, kStandardLibrary);
  status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  if (PyStatus_Exception(status) != 0)
    return StartError(status);
  return {};
}

// The text of the exception that is set.
Error PythonError(const char* doing) {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  const PyRef owned_type = PyRef::Steal(type);
  const PyRef owned_value = PyRef::Steal(value);
  const PyRef owned_traceback = PyRef::Steal(traceback);
  const PyRef text = PyRef::Steal(value == nullptr ? nullptr : PyObject_Repr(value));
  std::string message = std::string(doing) + ": ";
  message += text ? ViewOfText(text.get()) : std::string_view("unknown error");
  PyErr_Clear();
  return Error{ErrorCode::kUnavailable, std::move(message)};
}

// Runs the loader out of the image. From here on imports come from images.
bool InstallLoader(const Image& platform) {
  const std::optional<ImageEntry> entry = platform.Find(kLoaderPath);
  if (!entry || entry->code.empty()) {
    PyErr_SetString(PyExc_ImportError, "the platform image has no loader");
    return false;
  }
  const PyRef code = PyRef::Steal(PyMarshal_ReadObjectFromString(
      entry->code.data(), static_cast<Py_ssize_t>(entry->code.size())));
  return code && PyRef::Steal(PyImport_ExecCodeModule(kLoaderName, code.get()));
}

// An attribute of a module of the runtime.
PyRef RuntimeAttribute(const char* module_name, const char* attribute) {
  const PyRef module = PyRef::Steal(PyImport_ImportModule(module_name));
  return module ? PyRef::Steal(PyObject_GetAttrString(module.get(), attribute)) : PyRef();
}

// An attribute of each module, kept for the workers.
bool KeepAttributes(Runtime& runtime) {
  struct Kept {
    PyRef* place;
    const char* module_name;
    const char* attribute;
  };
  const Kept kept[] = {{&runtime.wall_time_exceeded, "cloister", "WallTimeExceeded"},
                       {&runtime.format_exception, "_cloister_runtime.report", "format_exception"},
                       {&runtime.begin, "_cloister_runtime.boot", "begin"},
                       {&runtime.load_entry, "_cloister_runtime.boot", "load_entry"},
                       {&runtime.rehearse, "_cloister_runtime.rehearsal", "rehearse"},
                       {&runtime.functions, "_cloister_runtime.functions", "application"},
                       {&runtime.random_instance, "random", "_inst"},
                       {&runtime.stderr_stream, "sys", "stderr"}};
  for (const Kept& each : kept) {
    *each.place = RuntimeAttribute(each.module_name, each.attribute);
    if (!*each.place)
      return false;
  }
  const PyRef generator = RuntimeAttribute("_random", "Random");
  if (!generator)
    return false;
  runtime.random_seed = PyRef::Steal(PyObject_GetAttrString(generator.get(), "seed"));
  const PyRef file_wrapper = RuntimeAttribute("wsgiref.util", "FileWrapper");
  return runtime.random_seed && file_wrapper &&
         SetEnvironStreams(runtime.stderr_stream.get(), file_wrapper.get());
}

// The image of the app that is booted for practice.
Result<Image> MakeRehearsalImage(const Image& platform) {
  const std::optional<ImageEntry> module = platform.Find(kRehearsedPath);
  if (!module)
    return Error{ErrorCode::kInvalidArgument,
                 "the platform image has no rehearsal: build it again"};
  ImageBuilder builder;
  builder.Add(kRehearsedName, std::string(module->contents), std::string(module->code));
  const UniqueFd memory = TRY(builder.BuildMemfd("cloister-rehearsal"));
  return Image::Open(memory.get(), Image::NeedSeals::kYes);
}

bool Warm(Runtime& runtime, const Image& platform) {
  if (!InstallLoader(platform) || !PrepareWsgi())
    return false;
  const PyRef warm = RuntimeAttribute("_cloister_runtime.warm", "warm");
  if (!warm || !PyRef::Steal(PyObject_CallNoArgs(warm.get())) || !KeepAttributes(runtime))
    return false;
  for (int i = 0; i < kRehearsals; ++i) {
    if (!PyRef::Steal(PyObject_CallNoArgs(runtime.rehearse.get())))
      return false;
  }
  // Last: what is alive now is never looked at again by the collector, so its pages stay shared.
  const PyRef gc = PyRef::Steal(PyImport_ImportModule("gc"));
  return gc && PyRef::Steal(PyObject_CallMethod(gc.get(), "collect", nullptr)) &&
         PyRef::Steal(PyObject_CallMethod(gc.get(), "freeze", nullptr));
}

}  // namespace

Result<void> WarmInterpreter(const std::string& platform_image_path) {
  Runtime& runtime = TheRuntime();
  const Image& platform = runtime.platform.emplace(TRY(CopyPlatformImage(platform_image_path)));
  TRY(CheckVersion(platform));
  runtime.app.emplace(TRY(MakeRehearsalImage(platform)));
  PrepareProcess();
  TRY(StartInterpreter());
  if (!Warm(runtime, platform))
    return PythonError("warming the interpreter");
  (void)::malloc_trim(0);
  return {};
}

std::string InterpreterVersion() {
  const std::string_view version = Py_GetVersion();
  return std::string(version.substr(0, version.find(' ')));
}

void BeforeFork() {
  PyOS_BeforeFork();
}

void AfterForkParent() {
  PyOS_AfterFork_Parent();
}

void AfterForkChild() {
  PyOS_AfterFork_Child();
  // All workers of a zygote would draw the same numbers.
  const Runtime& runtime = TheRuntime();
  if (!PyRef::Steal(PyObject_CallOneArg(runtime.random_seed.get(), runtime.random_instance.get())))
    PyErr_Clear();  // from the operating system's generator, which does not fail
}

}  // namespace cloister
