package change

// Days counts the days from 1970-01-01 to a date of the proleptic Gregorian
// calendar, which servers use for all years. ok is false for what it has not:
// zero and partial dates, and days that a month lacks. The year is not negative.
func Days(year, month, day int) (days int, ok bool) {
	if year < 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, false
	}
	// The year begins in March, so that the leap day is its last; it is counted
	// from 400 years earlier, so that it is positive.
	if month <= 2 {
		year--
		month += 12
	}
	year += 400
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468 - 146097, true
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
