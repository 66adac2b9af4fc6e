// The 3D view is loaded where the browser can show it, and only when it is first needed.

/** The module that draws, if this browser has WebGL; smooth edges cost three times the frame where there is no GPU. */
export async function openScene() {
  const context = document.createElement("canvas").getContext("webgl2");
  if (!context) return {};
  const info = context.getExtension("WEBGL_debug_renderer_info");
  const name = info ? context.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
  context.getExtension("WEBGL_lose_context")?.loseContext();
  return {...(await import("./scene.js")), smooth: !/swiftshader|llvmpipe|software/i.test(name)};
}
