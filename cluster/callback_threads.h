// The threads on which gRPC calls back.
#pragma once

namespace pharos::cluster {

// Makes them stay until the process ends. By itself gRPC ends them with the last channel or server
// that uses them; if that is destroyed in one of their own callbacks, as that of a call that owns
// its channel may be, the thread would have to wait for itself, and the memory of its queue is
// freed twice. To be called before such a channel is made. Any thread.
void KeepCallbackThreads();

}  // namespace pharos::cluster
