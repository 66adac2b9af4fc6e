// Small pictures of a list, those in sight first and a few at a time: whatever the page asks for next has its way free.

const AT_ONCE = 3; // of the six connections that a browser has
const AHEAD_PX = 200;

const wanted = new Set();
const loading = new Set();
const sight = new IntersectionObserver((entries) => {
  for (const {target, isIntersecting} of entries)
    if (isIntersecting) wanted.add(target);
    else wanted.delete(target);
  next();
}, {rootMargin: `${AHEAD_PX}px`});

/** Load these images from their `data-src`; those of the list before are no longer asked for. */
export function load(images) {
  sight.disconnect();
  wanted.clear();
  for (const image of loading) image.removeAttribute("src");
  loading.clear();
  for (const image of images) sight.observe(image);
}

function next() {
  for (const image of wanted) {
    if (loading.size >= AT_ONCE) return;
    wanted.delete(image);
    sight.unobserve(image);
    loading.add(image);
    const done = () => loading.delete(image) && next();
    image.addEventListener("load", done, {once: true});
    image.addEventListener("error", done, {once: true});
    image.src = image.dataset.src;
  }
}
