// Fields and buttons name a function of another script, such as that of passkeys, which
// is called when they are clicked, or when everything is there.
(() => {
	const call = (name) => typeof window[name] === "function" && (window[name](), true);
	for (const button of document.querySelectorAll("[data-click-trigger]")) {
		button.addEventListener("click", () => call(button.dataset.clickTrigger));
	}
	window.addEventListener("load", () => {
		for (const field of document.querySelectorAll("[data-load-trigger]")) call(field.dataset.loadTrigger);
	});
})();
