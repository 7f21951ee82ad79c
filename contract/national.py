"""National numbers: digits without a country code, read as numbers of one country or refused, never guessed."""

from __future__ import annotations

import phonenumbers
from phonenumbers import CountryCodeSource, PhoneNumber, PhoneNumberFormat, PhoneNumberType

from threelane.contract import numbering, zones
from threelane.contract.numbering import Wrong
from threelane.contract.subscriber import subscriber

_MOBILE = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)


def read(digits: str, country: str) -> str | Wrong:
    """Return a national number of a country with its country code; its dialling prefix, such as 0, is removed.

    Digits that start with the country's calling code are refused if they are an international number of the country
    and no national one, or its mobile number and at most a fixed line as a national one: both readings are named.
    """
    try:
        number = phonenumbers.parse(digits, country, keep_raw_input=True)
    except phonenumbers.NumberParseException:
        return Wrong(f"the number is no number of {country}", f"check its digits, or {_write_plus()}")
    if number.country_code_source == CountryCodeSource.FROM_NUMBER_WITH_IDD:
        return Wrong(
            f"the number starts with a dialling prefix for calls abroad from {country}",
            _write_plus(numbering.written(number)),
        )
    has_code = number.country_code_source == CountryCodeSource.FROM_NUMBER_WITHOUT_PLUS_SIGN
    is_dialled = phonenumbers.ndd_prefix_for_region(country, True) == str(number.country_code)  # 1 in North America
    if has_code and not is_dialled:
        return _two_readings(digits, country, number)
    found = numbering.written(number)
    if numbering.is_opened(found):
        return found
    is_former = subscriber(found) != found  # it may have a length that the metadata no longer has
    if not is_former and (wrong := numbering.wrong_length(number)):
        return Wrong(f"{wrong.problem}, {country}", f"{wrong.remedy}, or {_write_plus()}")
    if not is_former and number.italian_leading_zero and not phonenumbers.is_valid_number(number):
        return Wrong(f"no number of {country} starts with 0 like this", f"check its digits, or {_write_plus()}")
    if not numbering.LEAST_DIGITS <= len(found) <= numbering.MOST_DIGITS:
        return Wrong(f"{len(found)} digits with the country code", "check its digits")
    if digits.startswith(str(number.country_code)) and _type(number) not in _MOBILE:
        abroad = _parsed(digits)
        if abroad and _type(abroad) in _MOBILE:
            return _two_readings(digits, country, abroad)
    return found


def _two_readings(digits: str, country: str, number: PhoneNumber) -> Wrong:
    """Return the refusal of digits that may have the country's calling code without a plus."""
    full = numbering.written(number)
    national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    return Wrong(
        f"as a national number of {country} it would be +{number.country_code}{digits}, and with its country code "
        f"+{full} of {zones.country(full) or country}",
        f"write +{full}, or in national form {national}",
    )


def _parsed(digits: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse("+" + digits)
    except phonenumbers.NumberParseException:
        return None


def _type(number: PhoneNumber) -> int:
    return int(phonenumbers.number_type(number))  # UNKNOWN for a number that is not valid


def _write_plus(digits: str = "27831234567") -> str:
    return f"write it in international form, as in +{digits}"
