// The live engines of the process by spec, and the loads under way.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>

#include "backend.h"
#include "engine.h"

namespace moondream {

class EngineRegistry {
 public:
  using Maker = std::function<std::shared_ptr<Engine>(std::unique_ptr<Backend> backend)>;

  // The process's own. Never destroyed, since engines may be asked for while statics are.
  static EngineRegistry &instance();

  // As Engine::acquire(). `make` wraps a loaded backend; it is called on the loading thread.
  // Thread-safety: safe. No lock is held while loading, making or freeing.
  std::shared_ptr<Engine> acquire(const ModelSpec &spec, const Maker &make,
                                  std::stop_token cancelled);

  // As set_backend_loader().
  BackendLoader set_loader(BackendLoader loader);

 private:
  struct Load;
  struct Slot {
    std::weak_ptr<Engine> engine;
    std::shared_ptr<Load> load;  // null when none is under way
  };

  std::shared_ptr<Load> start(const ModelSpec &spec, const Maker &make);
  void run(const ModelSpec &spec, const BackendLoader &loader, const Maker &make,
           const std::shared_ptr<Load> &load, std::stop_token stop);

  std::mutex mutex_;
  // mutex_ protects what follows.
  BackendLoader loader_;  // empty: load_model_backend
  std::map<ModelSpec, Slot> slots_;
  std::condition_variable_any loaded_;  // a load is done
};

}  // namespace moondream
