// Lua sources are bundled as text (build.mjs, loader of `.lua`).
declare module '*.lua' {
  const source: string;
  export { source as default };
}
