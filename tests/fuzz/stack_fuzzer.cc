// The whole stack, from the socket calls down to the frames: the input is a script of calls of the
// API, frames that arrive and times that pass. See stack_script.h and stack_world.h for what is
// checked.
#include "fuzz.h"
#include "stack_script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::Script(sluice::wire::ConstBytes(data, size)).Run();
  return 0;
}
