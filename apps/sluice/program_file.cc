#include "program_file.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace sluice::apps {
namespace {

constexpr int kInterpretersMax = 4;  // as the kernel follows "#!" lines
constexpr int kProgramHeadersMax = 256;

#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
#else
#error "add the ELF machine number of this processor"
#endif

bool IsExecutableFile(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         access(path.c_str(), X_OK) == 0;
}

class File {
 public:
  explicit File(const std::string& path) : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool is_open() const { return descriptor_ >= 0; }
  // Bytes read at `offset`; short at the end of the file.
  size_t Read(void* to, size_t size, off_t offset) const {
    ssize_t got = pread(descriptor_, to, size, offset);
    return got < 0 ? 0 : static_cast<size_t>(got);
  }

 private:
  int descriptor_;
};

// The program on a script's "#!" line.
std::string InterpreterOf(std::string_view head) {
  size_t begin = head.find_first_not_of(" \t", 2);
  if (begin == std::string_view::npos) return "";
  size_t end = head.find_first_of(" \t\n", begin);
  return std::string(head.substr(begin, end == std::string_view::npos ? end : end - begin));
}

// Whether the executable asks for a dynamic loader, which a static one does not.
bool AsksForLoader(const File& file, const Elf64_Ehdr& header) {
  for (int i = 0; i < header.e_phnum && i < kProgramHeadersMax; ++i) {
    Elf64_Phdr segment;
    off_t offset = static_cast<off_t>(header.e_phoff + uint64_t{header.e_phentsize} * i);
    if (file.Read(&segment, sizeof(segment), offset) != sizeof(segment)) return false;
    if (segment.p_type == PT_INTERP) return true;
  }
  return false;
}

absl::Status CheckPrivileges(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) {
    return absl::NotFoundError(absl::StrCat("cannot read ", path, ": ", strerror(errno)));
  }
  bool changes_user = (status.st_mode & S_ISUID) != 0 && status.st_uid != geteuid();
  bool changes_group = (status.st_mode & S_ISGID) != 0 && status.st_gid != getegid();
  if (changes_user || changes_group) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is set-", changes_user ? "user" : "group",
                     "-ID, so the loader ignores preloaded libraries; start it as that user"));
  }
  // Root gains nothing by a file's capabilities.
  if (geteuid() != 0 && getxattr(path.c_str(), "security.capability", nullptr, 0) > 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        path,
        " has file capabilities, so the loader ignores preloaded libraries; start it as root, "
        "or use a copy without them"));
  }
  return absl::OkStatus();
}

absl::Status CheckElf(const std::string& path, const File& file) {
  Elf64_Ehdr header;
  if (file.Read(&header, sizeof(header), 0) != sizeof(header) ||
      memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is neither an ELF executable nor a script with a #! line"));
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != kMachine) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is made for another kind of processor than libsluice-preload.so"));
  }
  if (!AsksForLoader(file, header)) {
    return absl::FailedPreconditionError(absl::StrCat(
        path,
        " is statically linked, and only a dynamically linked program can be preloaded; "
        "build it without -static, or link it with libsluice"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> FindProgram(const std::string& name) {
  if (name.empty()) return absl::InvalidArgumentError("the program's name is empty");
  if (name.find('/') != std::string::npos) {
    if (IsExecutableFile(name)) return name;
    const char* why = access(name.c_str(), F_OK) != 0 ? "does not exist" : "is not executable";
    return absl::NotFoundError(absl::StrCat("the program ", name, " ", why));
  }
  const char* path = getenv("PATH");
  for (absl::string_view directory : absl::StrSplit(path != nullptr ? path : "", ':')) {
    std::string candidate = absl::StrCat(directory.empty() ? "." : directory, "/", name);
    if (IsExecutableFile(candidate)) return candidate;
  }
  return absl::NotFoundError(
      absl::StrCat("no program ", name, " in PATH; install it, or give its path"));
}

absl::Status CheckPreloadable(const std::string& path) {
  std::string current = path;
  for (int depth = 0; depth <= kInterpretersMax; ++depth) {
    if (absl::Status status = CheckPrivileges(current); !status.ok()) return status;
    File file(current);
    if (!file.is_open()) {
      return absl::PermissionDeniedError(
          absl::StrCat("cannot read ", current, ": ", strerror(errno)));
    }
    char head[256];
    std::string_view start(head, file.Read(head, sizeof(head), 0));
    if (!start.starts_with("#!")) return CheckElf(current, file);
    current = InterpreterOf(start);
  }
  return absl::FailedPreconditionError(
      absl::StrCat(path, " is a script of scripts, deeper than the kernel follows"));
}

}  // namespace sluice::apps
