package identity

import (
	"fmt"
	"math"
	"time"
)

// A Text is something that is shown to people, with an id by which a user interface
// can translate it. Ids and wording are Kratos's.
type Text struct {
	ID      int            `json:"id"`
	Text    string         `json:"text"`
	Type    string         `json:"type"` // info, error or success
	Context map[string]any `json:"context,omitempty"`
}

func info(id int, text string) Text    { return Text{ID: id, Text: text, Type: "info"} }
func success(id int, text string) Text { return Text{ID: id, Text: text, Type: "success"} }
func mistake(id int, text string) Text { return Text{ID: id, Text: text, Type: "error"} }

// with adds to the context.
func (t Text) with(key string, value any) Text {
	c := map[string]any{key: value}
	for k, v := range t.Context {
		c[k] = v
	}
	t.Context = c
	return t
}

// Labels and notices.
var (
	textConfirmItIsYou = info(1010003, "Please confirm this action by verifying that it is you.")
	textSecondFactor   = info(1010004, "Please complete the second authentication challenge.")
	textSignInPassword = info(1010022, "Sign in with password")
	textSignUp         = info(1040001, "Sign up")
	textSaved          = success(1050001, "Your changes have been saved!")

	textLoginCodeSent        = info(1010014, "A code was sent to the address you provided. If you didn't receive it, please check the spelling of the address and try again.")
	textMyCodeSent           = info(1010025, "A code was sent to your address. If you didn't receive it, please try again.")
	textSendLoginCode        = info(1010015, "Send sign in code")
	textSignUpCodeSent       = info(1040005, "A code has been sent to the address(es) you provided. If you have not received a message, check the spelling of the address and retry the registration.")
	textBack                 = info(1040008, "Back")
	textChooseCredential     = info(1040009, "Please choose a credential to authenticate yourself with.")
	textSendSignUpCode       = info(1040006, "Send sign up code")
	textRecoveryLinkSent     = info(1060002, "An email containing a recovery link has been sent to the email address you provided. If you have not received an email, check the spelling of the address and make sure to use the address you registered with.")
	textRecoveryCodeSent     = info(1060003, "An email containing a recovery code has been sent to the email address you provided. If you have not received an email, check the spelling of the address and make sure to use the address you registered with.")
	textVerifyLinkSent       = info(1080001, "An email containing a verification link has been sent to the email address you provided. If you have not received an email, check the spelling of the address and make sure to use the address you registered with.")
	textVerified             = success(1080002, "You successfully verified your email address.")
	textVerifyCodeSent       = info(1080003, "An email containing a verification code has been sent to the email address you provided. If you have not received an email, check the spelling of the address and make sure to use the address you registered with.")
	textVerifyPhoneSent      = info(1080004, "A text message containing a verification code has been sent to the phone number you provided. If you have not received a text message, check the spelling of the number and make sure to use the number you registered with.")
	textVerifiedPhone        = success(1080005, "You successfully verified your phone number.")
	textRecoveryBack         = info(1060007, "Back")
	textChooseAddress        = info(1060006, "How do you want to recover your account?")
	textWholeAddress         = info(1060005, "Recover access to your account by providing your recovery address in full.")
	textLabelRecoveryAddress = info(1070016, "Recovery address")
	textLabelEmail           = info(1070007, "Email")
	textLabelResend          = info(1070008, "Resend code")
	textLabelContinue        = info(1070009, "Continue")
	textLabelRecoveryCode    = info(1070010, "Recovery code")
	textLabelVerifyCode      = info(1070011, "Verification code")
	textLabelSignUpCode      = info(1070012, "Registration code")
	textLabelLoginCode       = info(1070013, "Login code")
	textLabelPassword        = info(1070001, "Password")
	textLabelID              = info(1070004, "ID")
	textLabelSave            = info(1070003, "Save")
)

// labelOf is the label of a trait, from the title in the schema.
func labelOf(title, name string) Text {
	return info(1070002, title).with("title", title).with("name", name)
}

// Mistakes.
var (
	textWrongCredentials = mistake(4000006, "The provided credentials are invalid, check for spelling mistakes in your password or username, email address, or phone number.")
	textTaken            = mistake(4000007, "An account with the same identifier (email, phone, username, ...) exists already.")
	textNotVerified      = mistake(4000010, "Account not active yet. Did you forget to verify your email address?")
	textNoIdentifier     = mistake(4000009, "Could not find any login identifiers. Did you forget to set them? This could also be caused by a server misconfiguration.")
	textTooSimilar       = mistake(4000031, "The password can not be used because it is too similar to the identifier.")
	textNoAccount        = mistake(4000037, "This account does not exist or has no login method configured.")
	textSamePassword     = mistake(4000039, "The new password must be different from the old password.")
	textNoLoginMethod    = mistake(4010002, "Could not find a strategy to log you in with. Did you fill out the form correctly?")
	textNoSignUpMethod   = mistake(4010003, "Could not find a strategy to sign you up with. Did you fill out the form correctly?")
	textNoSettingsMethod = mistake(4010004, "Could not find a strategy to update your settings. Did you fill out the form correctly?")
	textNoRecoveryMethod = mistake(4010005, "Could not find a strategy to recover your account with. Did you fill out the form correctly?")
	textNoVerifyMethod   = mistake(4010006, "Could not find a strategy to verify your account with. Did you fill out the form correctly?")
	textLoggedInBefore   = mistake(4010007, "The request was already completed successfully and can not be retried.")
	textRegistered       = mistake(4040002, "The request was already completed successfully and can not be retried.")
	textWrongLoginCode   = mistake(4010008, "The login code is invalid or has already been used. Please try again.")
	textNotMyAddress     = mistake(4010010, "The address you entered does not match any known addresses in the current account.")
	textOtherTraits      = mistake(4000036, "The provided traits do not match the traits previously associated with this flow.")
	textWrongSignUpCode  = mistake(4040003, "The registration code is invalid or has already been used. Please try again.")
	textRecovered        = mistake(4060001, "The request was already completed successfully and can not be retried.")
	textWrongLink        = mistake(4060004, "The recovery token is invalid or has already been used. Please retry the flow.")
	textWrongRecovery    = mistake(4060006, "The recovery code is invalid or has already been used. Please try again.")
	textWrongVerifyLink  = mistake(4070001, "The verification token is invalid or has already been used. Please retry the flow.")
	textVerifiedBefore   = mistake(4070002, "The request was already completed successfully and can not be retried.")
	textVerifyFailed     = mistake(4070003, "The verification flow reached a failure state and must be retried.")
	textManyAddresses    = mistake(4050002, "You can only change one address at a time. Please update each address separately.")
	textWrongVerifyCode  = mistake(4070006, "The verification code is invalid or has already been used. Please try again.")
	textTooOften         = textGeneric("The request was submitted too often. Please request another code.")
	textNoMethods        = mistake(5000002, "No authentication methods are available. Please contact the system administrator.")
	textBusy             = mistake(5000001, "Too many passwords are being checked at this moment. Please try again in a few seconds.").with("reason", "too many passwords are being checked")
	textInactive         = mistake(4010011, "This account has been disabled. Please contact support for assistance.")
)

func textGeneric(reason string) Text {
	reason = cut(reason, 500) // the client may have written it
	return mistake(4000001, reason).with("reason", reason)
}

func textMissing(property string) Text {
	return mistake(4000002, fmt.Sprintf("Property %s is missing.", property)).with("property", property)
}

func textShortPassword(want, got int) Text {
	return mistake(4000032, fmt.Sprintf("The password must be at least %d characters long, but got %d.", want, got)).
		with("min_length", want).with("actual_length", got)
}

func textLongPassword(want, got int) Text {
	return mistake(4000033, fmt.Sprintf("The password must be at most %d characters long, but got %d.", want, got)).
		with("max_length", want).with("actual_length", got)
}

// expiredTexts are the ids of what a new flow says about the one that it replaces.
var expiredTexts = map[Kind]int{Login: 4010001, Registration: 4040001, Settings: 4050001, Recovery: 4060005, Verification: 4070005}

func textExpired(k Kind, at, now time.Time) Text {
	ago := math.Max(now.Sub(at).Minutes(), 0)
	return mistake(expiredTexts[k], fmt.Sprintf("The %s flow expired %.2f minutes ago, please try again.", k, ago)).
		with("expired_at", at).with("expired_at_unix", at.Unix())
}

// doneTexts are what flows say that are submitted after their end.
var doneTexts = map[Kind]Text{Login: textLoggedInBefore, Registration: textRegistered, Recovery: textRecovered, Verification: textVerifiedBefore}

// textRecoveredUntil is in the settings after a recovery.
func textRecoveredUntil(privileged, now time.Time) Text {
	return success(1060001, fmt.Sprintf("You successfully recovered your account. Please change your password or set up an alternative login method (e.g. social sign in) within the next %.2f minutes.",
		privileged.Sub(now).Minutes())).with("privilegedSessionExpiresAt", privileged).with("privileged_session_expires_at_unix", privileged.Unix())
}

// textSendTo is the label of a button that sends a code to a masked address.
func textSendTo(channel, address string) Text {
	return info(1010023, "Send code to "+address).with("address", address).with("channel", channel)
}

// textMaskedSent echoes what was given, and not what is stored.
func textMaskedSent(address string) Text {
	return info(1060004, fmt.Sprintf("A recovery code has been sent to %s. If you have not received it, check the spelling of the address and make sure to use the address you registered with.", address)).
		with("masked_address", address)
}

// textLocked is ours: attempts are limited, whether or not there is such an account.
func textLocked(wait time.Duration) Text {
	seconds := int(math.Ceil(wait.Seconds()))
	unit := "seconds"
	if seconds == 1 {
		unit = "second"
	}
	return mistake(4000001, fmt.Sprintf("Too many attempts. Please try again in %d %s.", seconds, unit)).with("retry_after", seconds)
}
