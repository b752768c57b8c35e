#include "preload/calls.h"

#include "api/context.h"
#include "api/socket_calls.h"
#include "runtime/process.h"

namespace sluice::preload {

extern "C" __attribute__((visibility("default"))) const Calls* sluice_preload_calls() {
  static constexpr Calls calls = {
      .version = Calls::kVersion,
      .start = runtime::StartFromEnvironment,
      .finish = runtime::FinishProcess,
      .after_fork_in_child = runtime::AfterForkInChild,
      .is_internal = runtime::IsInternalDescriptor,
      .forget_internal = runtime::ForgetInternalDescriptor,
      .is_ours = api::IsOurs,
      .should_use_kernel = api::ShouldUseKernel,
      .socket = api::Socket,
      .bind = api::Bind,
      .listen = api::Listen,
      .connect = api::Connect,
      .accept4 = api::Accept4,
      .shutdown = api::Shutdown,
      .getsockname = api::GetSockName,
      .getpeername = api::GetPeerName,
      .send = api::Send,
      .sendto = api::SendTo,
      .sendmsg = api::SendMsg,
      .sendmmsg = api::SendMmsg,
      .recv = api::Recv,
      .recvfrom = api::RecvFrom,
      .recvmsg = api::RecvMsg,
      .recvmmsg = api::RecvMmsg,
      .read = api::Read,
      .write = api::Write,
      .readv = api::Readv,
      .writev = api::Writev,
      .sendfile = api::SendFile,
      .splice = api::Splice,
      .getsockopt = api::GetSockOpt,
      .setsockopt = api::SetSockOpt,
      .fcntl = api::Fcntl,
      .ioctl = api::Ioctl,
      .fstat = api::Fstat,
      .dup = api::Dup,
      .dup3 = api::Dup3,
      .dup2 = api::Dup2,
      .close = api::Close,
      .close_range = api::CloseRange,
      .poll = api::Poll,
      .ppoll = api::PPoll,
      .select = api::Select,
      .pselect = api::PSelect,
      .epoll_create1 = api::EpollCreate1,
      .epoll_ctl = api::EpollCtl,
      .epoll_pwait = api::EpollPwait,
      .epoll_pwait2 = api::EpollPwait2,
  };
  return &calls;
}

}  // namespace sluice::preload
