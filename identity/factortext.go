package identity

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
)

// Mistakes with them.
var (
	textWrongTOTP   = mistake(4000008, "The provided authentication code is invalid, please try again.")
	textNoTOTP      = mistake(4000011, "You have no TOTP device set up.")
	textUsedLookup  = mistake(4000012, "This backup recovery code has already been used.")
	textNoLookup    = mistake(4000014, "You have no backup recovery codes set up.")
	textWrongLookup = mistake(4000016, "The backup recovery code is not valid.")
)
