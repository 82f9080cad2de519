#include "engine_registry.h"

#include <cstddef>
#include <optional>
#include <utility>

#include "background_thread.h"
#include "caught_error.h"

namespace moondream {

// One attempt to load an engine. It runs on a thread of its own, so that every caller of acquire()
// can leave without it. The registry's lock protects all members.
struct EngineRegistry::Load {
  std::size_t callers = 0;  // waiting in acquire()
  bool done = false;
  // Once done: the engine, held for the callers that have not woken up yet, or the error.
  std::shared_ptr<Engine> engine;
  std::optional<Error> error;
  std::optional<BackgroundThread> thread;
};

EngineRegistry &EngineRegistry::instance() {
  static EngineRegistry *const registry = new EngineRegistry;
  return *registry;
}

BackendLoader EngineRegistry::set_loader(BackendLoader loader) {
  const std::lock_guard lock(mutex_);
  return std::exchange(loader_, std::move(loader));
}

std::shared_ptr<Engine> EngineRegistry::acquire(const ModelSpec &spec, const Maker &make,
                                                std::stop_token cancelled) {
  const Error cancelled_error(ErrorKind::kCancelled, "loading " + spec.model + " was cancelled");
  std::shared_ptr<Load> load;
  std::unique_lock lock(mutex_);
  std::erase_if(slots_, [](const auto &entry) {
    return !entry.second.load && entry.second.engine.expired();
  });
  if (const auto slot = slots_.find(spec); slot != slots_.end()) {
    if (auto engine = slot->second.engine.lock()) return engine;
    load = slot->second.load;
  }
  if (cancelled.stop_requested()) throw cancelled_error;
  if (!load) load = start(spec, make);

  ++load->callers;
  const bool done = loaded_.wait(lock, cancelled, [&load] { return load->done; });
  --load->callers;
  if (done) {
    if (load->error) throw Error(*load->error);
    // The load must not keep the engine longer than its callers do.
    return load->callers == 0 ? std::move(load->engine) : load->engine;
  }
  if (load->callers == 0) {
    // Nobody wants it; who comes now starts anew rather than share a load that is being stopped.
    slots_.erase(spec);
    lock.unlock();
    load->thread->request_stop();
  }
  throw cancelled_error;
}

std::shared_ptr<EngineRegistry::Load> EngineRegistry::start(const ModelSpec &spec,
                                                            const Maker &make) {
  auto load = std::make_shared<Load>();
  const BackendLoader loader = loader_ ? loader_ : load_model_backend;
  load->thread.emplace("moondream-load", [this, spec, loader, make, load](std::stop_token stop) {
    run(spec, loader, make, load, std::move(stop));
  });
  slots_[spec].load = load;
  return load;
}

void EngineRegistry::run(const ModelSpec &spec, const BackendLoader &loader, const Maker &make,
                         const std::shared_ptr<Load> &load, std::stop_token stop) {
  std::shared_ptr<Engine> engine;
  std::optional<Error> error;
  try {
    std::unique_ptr<Backend> backend = loader(spec, stop);
    if (!backend) throw Error(ErrorKind::kFailed, "the loader gave no backend");
    engine = make(std::move(backend));
  } catch (...) {
    error = caught_error("loading " + spec.model);
  }
  {
    const std::lock_guard lock(mutex_);
    load->done = true;
    load->error = std::move(error);
    // Otherwise all callers left, the slot is another load's, and the engine is freed below.
    if (load->callers > 0) {
      Slot &slot = slots_.at(spec);
      slot.engine = engine;
      slot.load = nullptr;
      load->engine = std::move(engine);
    }
  }
  loaded_.notify_all();
}

BackendLoader set_backend_loader(BackendLoader loader) {
  return EngineRegistry::instance().set_loader(std::move(loader));
}

}  // namespace moondream
