// Tells ThreadSanitizer what GLib and GStreamer synchronise.
//
// They are not instrumented and their locks are futexes of their own, so without this everything
// that one thread hands another through them looks like a race. These functions stand in front of
// theirs: the libraries call them too, since a program's symbols come first. An edge too many could
// only hide a race, so edges are made for locks, queues, threads and the bus alone.
// Compiled into programs with -Db_sanitize=thread only.
#include <dlfcn.h>
#include <gst/gst.h>
#include <sanitizer/tsan_interface.h>

namespace {

// What the same function is in the library.
template <typename Function>
Function next(Function, const char *name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}
#define NEXT(function) static const auto real = next(&function, #function)

void release(const void *object) { __tsan_release(const_cast<void *>(object)); }
void acquire(const void *object) { __tsan_acquire(const_cast<void *>(object)); }

// Work of a thread pool: what was done before it was pushed has been done when it runs.
struct Work {
  GFunc function;
  gpointer user_data;
};
void run_work(gpointer data, gpointer user_data) {
  const Work *work = static_cast<const Work *>(user_data);
  acquire(data);
  work->function(data, work->user_data);
}

}  // namespace

// ---- Locks -----------------------------------------------------------------------------------

void g_mutex_lock(GMutex *mutex) {
  NEXT(g_mutex_lock);
  real(mutex);
  acquire(mutex);
}
gboolean g_mutex_trylock(GMutex *mutex) {
  NEXT(g_mutex_trylock);
  const gboolean locked = real(mutex);
  if (locked) acquire(mutex);
  return locked;
}
void g_mutex_unlock(GMutex *mutex) {
  NEXT(g_mutex_unlock);
  release(mutex);
  real(mutex);
}

void g_rec_mutex_lock(GRecMutex *mutex) {
  NEXT(g_rec_mutex_lock);
  real(mutex);
  acquire(mutex);
}
gboolean g_rec_mutex_trylock(GRecMutex *mutex) {
  NEXT(g_rec_mutex_trylock);
  const gboolean locked = real(mutex);
  if (locked) acquire(mutex);
  return locked;
}
void g_rec_mutex_unlock(GRecMutex *mutex) {
  NEXT(g_rec_mutex_unlock);
  release(mutex);
  real(mutex);
}

void g_cond_wait(GCond *cond, GMutex *mutex) {
  NEXT(g_cond_wait);
  release(mutex);
  real(cond, mutex);
  acquire(mutex);
}
gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time) {
  NEXT(g_cond_wait_until);
  release(mutex);
  const gboolean signalled = real(cond, mutex, end_time);
  acquire(mutex);
  return signalled;
}

// ---- Queues and threads ----------------------------------------------------------------------

void g_async_queue_push(GAsyncQueue *queue, gpointer data) {
  NEXT(g_async_queue_push);
  release(queue);
  real(queue, data);
}
gpointer g_async_queue_pop(GAsyncQueue *queue) {
  NEXT(g_async_queue_pop);
  const gpointer data = real(queue);
  acquire(queue);
  return data;
}
gpointer g_async_queue_try_pop(GAsyncQueue *queue) {
  NEXT(g_async_queue_try_pop);
  const gpointer data = real(queue);
  acquire(queue);
  return data;
}
gpointer g_async_queue_timeout_pop(GAsyncQueue *queue, guint64 timeout) {
  NEXT(g_async_queue_timeout_pop);
  const gpointer data = real(queue, timeout);
  acquire(queue);
  return data;
}

GThreadPool *g_thread_pool_new(GFunc function, gpointer user_data, gint max_threads,
                               gboolean exclusive, GError **error) {
  NEXT(g_thread_pool_new);
  // Pools live as long as the process, mostly.
  return real(run_work, new Work{function, user_data}, max_threads, exclusive, error);
}
gboolean g_thread_pool_push(GThreadPool *pool, gpointer data, GError **error) {
  NEXT(g_thread_pool_push);
  release(data);
  return real(pool, data, error);
}

// ---- The bus ---------------------------------------------------------------------------------

gboolean gst_bus_post(GstBus *bus, GstMessage *message) {
  NEXT(gst_bus_post);
  release(bus);
  return real(bus, message);
}
GstMessage *gst_bus_timed_pop_filtered(GstBus *bus, GstClockTime timeout, GstMessageType types) {
  NEXT(gst_bus_timed_pop_filtered);
  GstMessage *message = real(bus, timeout, types);
  acquire(bus);
  return message;
}
