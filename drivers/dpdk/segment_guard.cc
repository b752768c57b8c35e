#include "dpdk/segment_guard.h"

#include <linux/bpf.h>
#include <linux/if_link.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace sluice::dpdk {
namespace {

int Bpf(bpf_cmd command, bpf_attr* attributes) {
  return static_cast<int>(::syscall(SYS_bpf, command, attributes, sizeof(*attributes)));
}

// return XDP_PASS;
int LoadPassingProgram() {
  const bpf_insn program[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
      {.code = BPF_JMP | BPF_EXIT},
  };
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_XDP;
  attributes.insns = reinterpret_cast<uint64_t>(program);
  attributes.insn_cnt = std::size(program);
  attributes.license = reinterpret_cast<uint64_t>("Apache-2.0");
  return Bpf(BPF_PROG_LOAD, &attributes);
}

}  // namespace

SegmentGuard::~SegmentGuard() {
  if (link_ >= 0) ::close(link_);
}

absl::Status SegmentGuard::Engage(int interface_index) {
  if (tried_) return absl::OkStatus();
  tried_ = true;
  const int program = LoadPassingProgram();
  if (program >= 0) {
    bpf_attr attributes{};
    attributes.link_create.prog_fd = static_cast<uint32_t>(program);
    attributes.link_create.target_ifindex = static_cast<uint32_t>(interface_index);
    attributes.link_create.attach_type = BPF_XDP;
    attributes.link_create.flags =
        XDP_FLAGS_DRV_MODE;  // the generic mode does not concern the peer
    link_ = Bpf(BPF_LINK_CREATE, &attributes);
  }
  const int error = errno;
  if (program >= 0) ::close(program);  // the link keeps it
  if (link_ >= 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("frames larger than the MTU arrive and are dropped (", strerror(error),
                   "); run for the other end of the veth: ethtool -K <interface> tso off gso off"));
}

}  // namespace sluice::dpdk
