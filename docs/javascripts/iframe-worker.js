// Browsers start no worker from a file. Where the pages are opened as files, the theme's search runs
// in a hidden frame instead, which nothing outside this folder is needed for.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(script) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      this.inside = new Promise((resolve) => {
        frame.onload = () => {
          const inside = frame.contentWindow;
          inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
          const tag = inside.document.createElement("script");
          tag.src = new URL(script, location.href).href;
          tag.onload = () => resolve(inside);
          inside.document.body.append(tag);
        };
      });
      document.body.append(frame);
    }

    postMessage(data) {
      this.inside.then((inside) => inside.dispatchEvent(new inside.MessageEvent("message", { data })));
    }
  };
}
