package identity

import "fmt"

// Texts of logins at other providers. Their ids and wording are Kratos's.

func textProvider(id int, format, label, provider string) Text {
	return info(id, fmt.Sprintf(format, label)).with("provider", label).with("provider_id", provider)
}

func textSignInWith(label, id string) Text {
	return textProvider(1010002, "Sign in with %s", label, id)
}
func textConfirmWith(label, id string) Text {
	return textProvider(1010018, "Confirm with %s", label, id)
}
func textSignUpWith(label, id string) Text {
	return textProvider(1040002, "Sign up with %s", label, id)
}
func textLinkTo(label, id string) Text { return textProvider(1050002, "Link %s", label, id) }
func textUnlink(label, id string) Text { return textProvider(1050003, "Unlink %s", label, id) }
func textLogInToLink(have, label string) Text {
	return info(1010016, fmt.Sprintf("You tried to sign in with %q, but that email is already used by another account. Sign in to your account with one of the options below to add your account %[1]q at %q as another way to sign in.", have, label)).
		with("duplicateIdentifier", have).with("duplicate_identifier", have).with("provider", label)
}

var (
	textNoAccountThere = textGeneric("This account at the provider is not linked to yours.")
	textOtherAccount   = textGeneric("You signed in to another account than the one that was to be linked.")
	textOnlySSO        = textGeneric("Your organization wants you to sign in by its own provider.")
	textNotMember      = textGeneric("Your account has no address of the organization that it is to belong to.")
	textNotLinked      = textGeneric("There is no such linked account.")
	textManyAccounts   = textGeneric("Too many accounts are linked.")
)

// textProviderFailed says what went wrong at a provider, but not why: that is logged.
func textProviderFailed(label string) Text {
	return textGeneric("Signing in with " + label + " did not work. Please try again.")
}
