package identity

import "fmt"

// Labels of second factors and passkeys.
var (
	textLabelVerifyOTP = info(1070006, "Verify code")
	textLabelTOTP      = info(1010006, "Authentication code")
	textUseTOTP        = info(1010009, "Use Authenticator")
	textUnlinkTOTP     = info(1050004, "Unlink TOTP Authenticator App")
	textTOTPPicture    = info(1050005, "Authenticator app QR code")
	textTOTPSecret     = info(1050017, "This is your authenticator app secret. Use it if you can not scan the QR code.")
	textLabelLookup    = info(1010007, "Backup recovery code")
	textUseLookup      = info(1010010, "Use backup recovery code")
	textRevealLookup   = info(1050007, "Reveal backup recovery codes")
	textNewLookup      = info(1050008, "Generate new backup recovery codes")
	textLookupCodes    = info(1050010, "These are your back up recovery codes. Please keep them in a safe place!")
	textConfirmLookup  = info(1050011, "Confirm backup recovery codes")
	textDisableLookup  = info(1050016, "Disable this method")
	textUseKey         = info(1010008, "Sign in with a hardware key")
	textUsePasskey     = info(1010021, "Sign in with passkey")
	textSignUpPasskey  = info(1040007, "Sign up with passkey")
	textAddKey         = info(1050012, "Add security key")
	textLabelKeyName   = info(1050013, "Name of the security key")
	textAddPasskey     = info(1050019, "Add passkey")
)

// Mistakes with them.
var (
	textWrongTOTP   = mistake(4000008, "The provided authentication code is invalid, please try again.")
	textNoTOTP      = mistake(4000011, "You have no TOTP device set up.")
	textUsedLookup  = mistake(4000012, "This backup recovery code has already been used.")
	textNoLookup    = mistake(4000014, "You have no backup recovery codes set up.")
	textWrongLookup = mistake(4000016, "The backup recovery code is not valid.")
	textNoKey       = mistake(4000013, "You have no WebAuthn device set up.")
	textNoKeyUser   = mistake(4000015, "This account does not exist or has no security key set up.")
	textWrongKey    = mistake(4000043, "The provided web authn login is invalid, please try again.")
	textBreached    = mistake(4000034, "The password has been found in data breaches and must no longer be used.")
	textManyKeys    = textGeneric("You have too many keys: remove one first.")
	textLastFactor  = textGeneric("It cannot be removed: it is the only way into your account.")
)

// textRemoveKey is on the button that removes a key.
func textRemoveKey(id int, what string, k key) Text {
	return info(id, fmt.Sprintf("Remove %s \"%s\"", what, k.name())).with("display_name", k.name()).
		with("added_at", k.AddedAt).with("added_at_unix", k.AddedAt.Unix())
}
