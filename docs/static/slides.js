// Page Down, Page Up and a clicker go through a slide that is longer than the screen before they leave it.
function go(direction) {
  const slide = Reveal.getCurrentSlide(), before = slide.scrollTop
  slide.scrollBy(0, direction * 0.8 * slide.clientHeight)
  if (slide.scrollTop === before) direction > 0 ? Reveal.next() : Reveal.prev()
}

Reveal.on("ready", () => {
  Reveal.configure({ keyboard: { 32: () => go(1), 33: () => go(-1), 34: () => go(1) } })
  for (const slide of Reveal.getSlides()) slide.tabIndex = 0 // so that it can be scrolled without a mouse
})
