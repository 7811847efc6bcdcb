// Keys of WebAuthn for the forms of Cardea. It has the functions that nodes name in
// onclickTrigger and onloadTrigger, as Kratos's user interfaces expect them. Options come
// as JSON with bytes in base64url; an answer goes the same way into a hidden field, and
// the form of that field is sent.
(() => {
	"use strict";
	if (window.__oryWebAuthnInitialized) return;
	window.__oryWebAuthnInitialized = true;

	const field = (name) => document.querySelector(`[name="${CSS.escape(name)}"]`);
	const bytes = (text) =>
		Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
	const text = (buffer) =>
		buffer
			? btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")
			: "";

	// options takes JSON, or the object that an onclick attribute makes of it.
	const options = (from) => {
		const { publicKey, ...rest } = typeof from === "string" ? JSON.parse(from) : structuredClone(from);
		publicKey.challenge = bytes(publicKey.challenge);
		if (publicKey.user) publicKey.user.id = bytes(publicKey.user.id);
		for (const list of ["allowCredentials", "excludeCredentials"]) {
			if (publicKey[list]) publicKey[list] = publicKey[list].map((one) => ({ ...one, id: bytes(one.id) }));
		}
		return { publicKey, ...rest };
	};

	const answer = (key) => {
		const response = { clientDataJSON: text(key.response.clientDataJSON) };
		if (key.response.attestationObject) {
			response.attestationObject = text(key.response.attestationObject);
			if (key.response.getTransports) response.transports = key.response.getTransports();
		} else {
			response.authenticatorData = text(key.response.authenticatorData);
			response.signature = text(key.response.signature);
			response.userHandle = text(key.response.userHandle);
		}
		return JSON.stringify({ id: key.id, rawId: text(key.rawId), type: key.type, response });
	};

	// say shows beside the form what went wrong; to cancel is no mistake.
	const say = (near, error) => {
		console.warn(error);
		const form = near && near.closest("form");
		if (!form || error.name === "AbortError" || error.name === "NotAllowedError") return;
		const old = form.querySelector("[data-webauthn-error]");
		const p = old || document.createElement("p");
		p.className = "message error";
		p.setAttribute("role", "alert");
		p.dataset.webauthnError = "";
		p.textContent = error.name === "InvalidStateError" ? "This key is registered already." : String(error.message || error);
		if (!old) form.append(p);
	};

	let waiting; // for the passkey of a list, which gives way to all others

	const run = async (result, ask) => {
		const into = field(result);
		if (!into) return;
		try {
			if (!window.PublicKeyCredential) throw new Error("This browser has no WebAuthn, or the page has no secure address.");
			waiting?.abort();
			waiting = window.abortPasskeyConditionalUI = undefined;
			const key = await ask();
			if (!key) return;
			into.value = answer(key);
			into.closest("form").submit();
		} catch (error) {
			say(into, error);
		}
	};

	const create = (result, make) => run(result, () => navigator.credentials.create(make()));
	const get = (result, make) => run(result, () => navigator.credentials.get(make()));
	const value = (name) => field(name)?.value ?? "";

	window.oryWebAuthnRegistration = (from, result = "webauthn_register") =>
		create(result, () => options(from ?? value("webauthn_register_trigger")));
	window.oryWebAuthnLogin = (from, result = "webauthn_login") => get(result, () => options(from ?? value("webauthn_login_trigger")));
	window.oryPasskeyLogin = () => get("passkey_login", () => options(value("passkey_challenge")));
	window.oryPasskeySettingsRegistration = () => create("passkey_settings_register", () => options(value("passkey_create_data")));

	// A new account has no name yet but what stands in the form.
	window.oryPasskeyRegistration = () => {
		const data = JSON.parse(value("passkey_create_data") || "{}");
		const name = data.displayNameFieldName && field(data.displayNameFieldName);
		if (name && !name.reportValidity()) return;
		return create("passkey_register", () => {
			const made = options(data.credentialOptions ?? data);
			const shown = (name && name.value) || made.publicKey.user.name || location.hostname;
			made.publicKey.user.name = shown;
			made.publicKey.user.displayName = shown;
			return made;
		});
	};

	// The browser offers passkeys in the list of the field with autocomplete="webauthn".
	window.oryPasskeyLoginAutocompleteInit = async () => {
		const into = field("passkey_login");
		if (waiting || !into || !field("passkey_challenge") || !(await window.PublicKeyCredential?.isConditionalMediationAvailable?.())) return;
		waiting = window.abortPasskeyConditionalUI = new AbortController();
		const { signal } = waiting;
		try {
			const key = await navigator.credentials.get({ ...options(value("passkey_challenge")), mediation: "conditional", signal });
			if (!key) return;
			into.value = answer(key);
			into.closest("form").submit();
		} catch (error) {
			console.debug(error);
		}
	};

	for (const name of [
		"oryWebAuthnRegistration", "oryWebAuthnLogin", "oryPasskeyLogin", "oryPasskeyRegistration",
		"oryPasskeySettingsRegistration", "oryPasskeyLoginAutocompleteInit",
	]) window["__" + name] = window[name]; // as older user interfaces call them
})();
